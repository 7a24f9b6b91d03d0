import pytest

from rag.html import html_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>one <b>two</b> three</p>", "one two three"),
        ("<h2>A <i>b</i></h2><p>c</p>", "## A b\n\nc"),
        ("<ul><li>a</li><li>b <a href=x>c</a></li></ul>", "- a\n- b c"),
        ("<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>", "a b\n1 2"),
        ("<head><title>t</title></head><nav>n</nav><script>s</script><!-- c --><p>seen</p>", "seen"),
        ("<pre>a\n  b</pre>", "a\nb"),
        ("a<br>b", "a\nb"),
        ("<p>Tom &amp; Jerry</p>", "Tom & Jerry"),
        ("<p>never closed", "never closed"),
    ],
)
def test_the_text_is_what_a_reader_sees(html: str, text: str) -> None:
    assert html_text(html) == text
