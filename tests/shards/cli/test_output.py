"""How commands read keys, and how they print results and errors."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from multiraft.engine.errors import KeyTooLarge
from multiraft.shards.cli.output import (
    FAILED,
    INTERRUPTED,
    OK,
    CommandFailed,
    JsonOption,
    bytes_of,
    line_of,
    run_command,
    text_of,
)


@given(st.binary(max_size=20))
def test_what_is_printed_can_be_typed(data):
    assert bytes_of(text_of(data)) == data
    assert bytes_of(line_of(data)) == data
    assert line_of(data).isprintable()


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("", b""),
        ("key", b"key"),
        ("grün", "grün".encode()),
        ("0x", b""),
        ("0x00fF", b"\x00\xff"),
        ("0X00", b"0X00"),
        ("caf\udce9", b"caf\xe9"),
    ],
)
def test_keys_are_text_or_hexadecimal(text, data):
    assert bytes_of(text) == data


@pytest.mark.parametrize("text", ["0x0", "0xzz", "0x12 34", "0x1_", "0x٣٣"])
def test_what_follows_0x_is_pairs_of_digits(text):
    with pytest.raises(typer.BadParameter, match="hexadecimal"):
        bytes_of(text)


def test_text_that_looks_like_hexadecimal_is_printed_as_hexadecimal():
    assert text_of(b"0x41") == "0x30783431"
    assert text_of(b"\xff") == "0xff"
    assert text_of(b"a\tb") == "a\tb"
    assert line_of(b"a\tb") == "0x610962"


class Colour(StrEnum):
    RED = "red"


def outcome(work, *arguments, show=None):
    """The exit status of a command that does this work."""
    app = typer.Typer(add_completion=False)

    @app.command()
    def command(
        context: typer.Context,
        some_number: Annotated[int, typer.Option("--some-number", "-n")] = 3,
        colour: Colour = Colour.RED,
        file: Path | None = None,
        names: Annotated[list[str] | None, typer.Option("--name")] = None,
        secret: Annotated[int, typer.Option(hidden=True)] = 1,
        _json: JsonOption = False,
    ) -> None:
        run_command(context, work, show)

    return app(arguments, standalone_mode=False)


def test_the_result_is_one_object_with_every_option_in_config(capsys):
    assert outcome(lambda: {"rows": 1}, "--json", "-n", "7", "--file", "a/b", "--name", "x") == OK
    out, err = capsys.readouterr()
    config = {"some_number": 7, "colour": "red", "file": "a/b", "name": ["x"], "json": True}
    assert json.loads(out) == {"rows": 1, "ok": True, "config": config}
    assert out.count("\n") == 1
    assert not err


def test_a_result_that_is_not_ok_ends_with_status_1(capsys):
    assert outcome(lambda: {"ok": False}, "--json") == FAILED
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_people_get_text_instead(capsys):
    assert outcome(lambda: {"rows": 5}, show=lambda fields: print(fields["rows"], "rows")) == OK
    assert capsys.readouterr().out == "5 rows\n"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (KeyTooLarge("a key has\nat most"), "a key has at most"),
        (CommandFailed("it is so"), "it is so"),
        (FileNotFoundError(2, "No such file or directory", "x.csv"), "x.csv: No such file or directory"),
    ],
)
def test_an_expected_error_is_one_line_and_status_1(error, text, capsys):
    def work():
        raise error

    assert outcome(work) == FAILED
    assert capsys.readouterr() == ("", f"multiraft: {text}\n")
    assert outcome(work, "--json") == FAILED
    out, err = capsys.readouterr()
    assert err == f"multiraft: {text}\n"
    result = json.loads(out)
    assert (result["ok"], result["error"], result["type"]) == (False, text, type(error).__name__)
    assert result["config"]["some_number"] == 3


def test_an_interrupt_ends_with_the_status_that_shells_use(capsys):
    def work():
        raise KeyboardInterrupt

    assert outcome(work, "--json") == INTERRUPTED
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_a_bug_keeps_its_traceback_and_fails(capsys):
    def work():
        raise ZeroDivisionError("oops")

    with pytest.raises(ZeroDivisionError):
        outcome(work, "--json")
    assert json.loads(capsys.readouterr().out)["error"] == "internal error: ZeroDivisionError('oops')"
