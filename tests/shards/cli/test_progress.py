"""What commands tell of their progress."""

from multiraft.shards.cli.progress import Phases


def test_elsewhere_than_on_a_terminal_a_phase_is_plain_lines(capsys):
    with Phases(terminal=False) as phases:
        load = phases.phase("load rows")
        for done in (*range(1, 101), 100):
            load(done, 100)
        phases.say("done [with] it")
    assert capsys.readouterr().err == "load rows: 1 of 100\nload rows: 100 of 100\ndone [with] it\n"


def test_a_command_without_a_phase_prints_nothing(capsys):
    for terminal in (False, True):
        with Phases(terminal=terminal) as phases:
            phases.phase("never begun")
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_a_phase_is_a_bar(capsys):
    with Phases(terminal=True) as phases:
        phases.phase("load rows")(100, 100)
        phases.say("done [with] it")
    err = capsys.readouterr().err
    assert "100/100" in err
    assert "done [with] it" in err
