"""The delivery contract, on the broker alone with a clock that is moved, and on a real daemon through its sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from broker_bed import BrokerBed
from hive_bed import DaemonBed, hive_process, short_place

from hyperhive.testing.contracts import broker as contracts

if TYPE_CHECKING:
    from pathlib import Path

    from hyperhive.testing.contracts.broker import Contract

_EVERYWHERE = [c for c in contracts.CONTRACTS if c not in contracts.NEEDS_TIME | contracts.NEEDS_STATEMENTS]


def _number(contract: Contract) -> str:
    return contract.__name__  # type: ignore[attr-defined]


@pytest.mark.parametrize("contract", contracts.CONTRACTS, ids=_number)
async def test_the_broker_keeps(contract: Contract, tmp_path: Path) -> None:
    rig = await BrokerBed(tmp_path).open()
    try:
        await contract(rig)
    finally:
        await rig.close()


@pytest.mark.parametrize("contract", _EVERYWHERE, ids=_number)
async def test_the_daemon_keeps(contract: Contract) -> None:
    with short_place() as place:
        async with hive_process(place) as hive:
            rig = await DaemonBed(hive).open()
            await contract(rig)
            await rig.close()


def test_contracts_are_numbered_without_gaps() -> None:
    """A number in a bug report means one promise, and each says it."""
    for count, contract in enumerate(contracts.CONTRACTS, start=1):
        number = f"B{count:02}"
        assert _number(contract).startswith(f"b{count:02}_")
        assert (contract.__doc__ or "").startswith(f"{number}. ")
    listed = {_number(contract) for contract in contracts.CONTRACTS}
    assert listed == {name for name in vars(contracts) if name[:1] == "b" and name[1:3].isdigit()}
