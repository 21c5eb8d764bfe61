"""Addresses that are none: refused as such, and nothing is asked there."""

import pytest

from chain_bridge.client import Chain
from chain_bridge.errors import PlanError
from chain_bridge.evm.rpc import Rpc
from tests.conftest import PATIENCE_S

WRONG = {
    "{}://[::1": "is no address",
    "{}://" + "a" * 100 + "/": "is no address",
    "{}://h:99999": "the port must be a number below 65536",
    "{}://h:x": "the port must be a number below 65536",
    "{}://h:-1": "the port must be a number below 65536",
    "{}://": "and name a host",
    "{}://:9944": "and name a host",
    "ftp://h": "must begin with {}://",
    "h:9944": "must begin with {}://",
}


@pytest.mark.parametrize(("client", "scheme"), [(Chain, "ws"), (Rpc, "http")])
@pytest.mark.parametrize("url", WRONG)
def test_an_address_that_is_none_is_wrong_input(client, scheme, url):
    with pytest.raises(PlanError) as wrong:
        client(url.format(scheme), timeout_s=PATIENCE_S)
    assert str(wrong.value).startswith("--endpoint ")
    assert WRONG[url].format(scheme) in str(wrong.value)
    assert "answers" not in str(wrong.value)
