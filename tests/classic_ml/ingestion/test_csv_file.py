import gzip
from pathlib import Path

import pytest

from classic_ml.ingestion.csv_file import read_csv
from sluice.errors import InvalidRequest, NotFound

COLUMNS = ("id", "plan", "pay")
TEXT = 'pay,id,plan\n1.5,x,"a, or b"\n ,y,\n'


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "file.csv"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        b"\xef\xbb\xbf" + TEXT.encode(),
        TEXT.replace("\n", "\r\n").encode(),
        gzip.compress(TEXT.encode()),
        TEXT.encode() + b"\n\n",
    ],
    ids=["plain", "byte order mark", "CRLF", "gzip", "blank lines"],
)
def test_cells_stay_as_they_came_whatever_the_order_of_columns(tmp_path: Path, content: bytes) -> None:
    assert read_csv(written(tmp_path, content), COLUMNS).rows.rows() == [
        ("x", "a, or b", "1.5", 3),
        ("y", "", " ", 3),
    ]


def test_lines_too_short_or_too_long_are_kept_with_their_number_of_cells(tmp_path: Path) -> None:
    path = written(tmp_path, b"id,plan,pay\nx,a\ny,b,1,9\n")
    assert read_csv(path, COLUMNS).rows.rows() == [("x", "a", "", 2), ("y", "b", "1", 4)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "file.csv is empty"),
        (b"id;plan;pay\nx;a;1\n", "file.csv parts its cells by ';'. Save it with commas"),
        (b"id\tplan\tpay\nx\ta\t1\n", "file.csv parts its cells by tabs. Save it with commas"),
        (b" \n ", "file.csv is empty"),
        (b"id,plan,pay\n", "no rows"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "no CSV file"),
        (b"\x1f\x8bnot gzip at all", "no CSV file"),
        (gzip.compress(TEXT.encode())[:-9], "no CSV file"),
        (b'{"id": "x", "plan": "a"}', "none of the expected columns"),
        ("id,plan,pay\nx,Zür".encode("latin-1"), "no CSV file"),
        (b"id,plan\nx,a\n", "lacks the column 'pay'"),
        (b"id,plan,pays\nx,a,1\n", "lacks the column 'pay' and has the unknown column 'pays'. Rename 'pays' to 'pay'"),
        (b"id,plan,pay,colour,size\nx,a,1,red,5\n", "has the unknown columns 'colour', 'size'"),
        (b"id,plan,pay,pay\nx,a,1,1\n", "'pay' more than once"),
        (b'id,plan,pay\nx,"a"b,1\n', "line 2, is no CSV"),
    ],
)
def test_a_file_that_is_none_is_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_csv(written(tmp_path, content), COLUMNS)
    assert message in str(refused.value)


def test_no_file_and_a_folder_are_said_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nothing\.csv"):
        read_csv(tmp_path / "nothing.csv", COLUMNS)
    with pytest.raises(InvalidRequest, match="directory"):
        read_csv(tmp_path, COLUMNS)
