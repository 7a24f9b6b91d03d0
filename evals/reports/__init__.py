"""What people and machines read of a comparison: a terminal's table, the pull request's comment, JUnit XML."""
