"""What a new user met in the first hour is mended, and stays so."""

import pytest

from tests.first_use import empty_folder, main


@pytest.mark.slow
def test_what_a_new_user_met_is_mended(capsys):
    with empty_folder():
        failed = main([])
    assert not failed, capsys.readouterr().out
