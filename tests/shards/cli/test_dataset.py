"""What the demo loads: code points, CSV files, and what is wrong with a file."""

import pytest

from multiraft.shards.cli.dataset import csv_rows, cuts_of, unicode_rows
from multiraft.shards.cli.output import CommandFailed


def rows_of(tmp_path, content, **options):
    path = tmp_path / "rows.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return csv_rows(path, **options)


def test_every_named_code_point_is_a_row():
    rows, replaced = unicode_rows()
    assert len(rows) > 30_000
    assert replaced == 0
    assert rows["½".encode()] == b"VULGAR FRACTION ONE HALF;No;0.5"
    assert rows[b"A"] == b"LATIN CAPITAL LETTER A;Lu;"
    assert b"\n" not in rows


def test_the_first_column_is_the_key_and_the_second_the_value(tmp_path):
    assert rows_of(tmp_path, 'a,1\n"b, c","x ""y"""\n\nd,\n').rows == {
        b"a": b"1",
        b"b, c": b'x "y"',
        b"d": b"",
    }


def test_more_columns_are_joined_and_one_column_has_no_value(tmp_path):
    assert rows_of(tmp_path, 'a,1,"2,5"\r\nb,,\r\n').rows == {b"a": b'1,"2,5"', b"b": b","}
    assert rows_of(tmp_path, "a\nb\n").rows == {b"a": b"", b"b": b""}


def test_a_header_is_passed_over_on_request(tmp_path):
    assert rows_of(tmp_path, "id,name\n1,x\n", header=True).rows == {b"1": b"x"}
    assert b"id" in rows_of(tmp_path, "id,name\n1,x\n").rows


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    assert rows_of(tmp_path, b"\xef\xbb\xbfa,1\n").rows == {b"a": b"1"}


def test_of_equal_keys_the_last_row_counts(tmp_path):
    assert rows_of(tmp_path, "a,1\nb,2\na,3\n") == ({b"a": b"3", b"b": b"2"}, 1)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "there are no rows in it"),
        ("\n\n", "there are no rows in it"),
        ("a,1\nb,2,3\n", "line 2: 3 columns, but 2 in the first row"),
        ('a,1\n"x\ny",2\nb\n', "line 4: 1 columns, but 2 in the first row"),
        ('a,1\nb,"2\nc,3\n', "line 2: unexpected end of data"),
        ('a,1\nb,"2"x\n', "line 2: "),
        ("a,1\n,2\n", r"line 2: the key \(first column\) is empty"),
        (b"a,1\nb,\xff\n", "line 2: not UTF-8"),
        ("a,1\n" + "k" * 481 + ",2\n", "line 2: a key has at most 480 bytes, this one has 481"),
        ("a,1\nb," + "v" * (1024 * 1024 + 1) + "\n", "line 2: a value has at most 1048576 bytes"),
    ],
)
def test_a_bad_row_is_named_by_its_line(tmp_path, content, complaint):
    with pytest.raises(CommandFailed, match=f"rows.csv(: |, ){complaint}"):
        rows_of(tmp_path, content)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(CommandFailed, match=r"nothing\.csv: No such file or directory"):
        csv_rows(tmp_path / "nothing.csv")
    with pytest.raises(CommandFailed, match="Is a directory"):
        csv_rows(tmp_path)


def test_cuts_make_ranges_of_nearly_equal_size():
    keys = [b"%03d" % number for number in range(100)]
    cuts = cuts_of(keys, 8)
    edges = [0, *(keys.index(cut) for cut in cuts), 100]
    assert {edges[number + 1] - edges[number] for number in range(8)} <= {12, 13}
    assert cuts_of(keys, 1) == []
    assert cuts_of(keys[:3], 3) == [b"001", b"002"]
