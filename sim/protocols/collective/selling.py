"""Clients buy licences to use the model; audits fine who paid less than the fee."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agents.clients.base import Client
from mechanisms import answers
from mechanisms import registries as rules
from mechanisms.licensing.base import LicensingRule
from mechanisms.vocabulary import ClientObservation, LicenceObservation
from sim.protocols.collective.economy import Economy, PartyRole
from sim.protocols.collective.settings import CLIENT


class Selling:
    """The clients of a run, and the licences that they hold."""

    def __init__(self, economy: Economy) -> None:
        self.economy, self.game, self.licences = economy, economy.game, economy.scenario.licences
        self.rule: LicensingRule = rules.licensing.create(self.licences.rule, self.licences.params)
        self.until: dict[int, int] = {}
        """By client the last round of its licence."""
        self.fined: dict[int, int] = {}
        """By client how often it was fined."""
        clients = economy.scenario.parties.devices[CLIENT]
        self.worth = {client: self._worth(client) for client in clients}
        """By client what a licence of a model without errors is worth to it, base units."""

    def _worth(self, client: int) -> float:
        settings = self.economy.scenario.clients
        draw = self.game.streams.rng("client.value", client).uniform(-1, 1)
        return settings.value * (1 + settings.spread * float(draw))

    def jurisdiction(self, client: int) -> str:
        """Return where a client is, "" where there is none."""
        names = [j.name for j in self.licences.jurisdictions]
        first = self.economy.scenario.parties.devices[CLIENT].start
        return names[(client - first) % len(names)] if names else ""

    def play(self) -> dict[int, float]:
        """Let clients without a licence ask for one; return by client what theirs is worth.

        It is counted in the round of the purchase, at the accuracy that is reported.
        """
        published = self.game.bench.accuracy_of(self.economy.chain.head.model)
        now = self.game.clock.round
        online = filter(self.economy.eligible, self.economy.online(CLIENT))
        asking = [client for client in online if self.until.get(client, 0) < now]
        return self.benefits([client for client in asking if self._asks(client, published)])

    def benefits(self, bought: Sequence[int]) -> dict[int, float]:
        """Return what licences that were just bought are worth, at the accuracy reported."""
        if not bought:
            return {}
        models, model = self.game.bench.models, self.economy.chain.head.model
        tested = self.game.bench.test([models[model]], [models.digest(model)])
        return {client: self.worth[client] * float(tested.accuracy[0]) for client in bought}

    def _asks(self, client: int, published: float) -> bool:
        """Ask a client for an offer, and return whether it gets a licence for it."""
        game, where = self.game, self.jurisdiction(client)
        fee = self.economy.fee_in(where)
        if fee is None:
            return False
        behaviour: Client = game.population[client].behaviour("client")
        seen = ClientObservation(
            round=game.clock.round,
            device=client,
            usage=self.licences.usage,
            fee=fee,
            value=self.worth[client] * published,
            balance=game.treasury.balance(client),
            fined=self.fined.get(client, 0),
            rng=game.streams.rng("client", client, game.clock.round),
            terms=lambda offer: self.rule.cost(fee, offer),
        ).shown_to(behaviour.knows)
        game.population[client].role = PartyRole.CLIENT
        offer = answers.offer(behaviour, behaviour.offer(seen), seen.balance, seen.who)
        if offer is None:
            return False
        given = answers.truth(self.rule, "licenses", self.rule.licenses(fee, offer))
        owed = self._sell(client, fee, offer) if given else None
        self._record(client, where, fee, offer, given, owed)
        return given

    def sell_by_hand(self, client: int, offer: int) -> bool:
        """Ask for a licence for a client, and return whether it gets one for this offer.

        Raises ValueError where none is sold to it, and where it cannot pay.
        """
        where = self.jurisdiction(client)
        fee = self.economy.fee_in(where)
        held = self.game.treasury.balance(client)
        if fee is None or not self.economy.eligible(client):
            raise ValueError(f"device {client} may not buy a licence")
        if offer > held:
            raise ValueError(f"device {client} holds {held:,} base units")
        self.game.population[client].role = PartyRole.CLIENT
        given = answers.truth(self.rule, "licenses", self.rule.licenses(fee, offer))
        owed = self._sell(client, fee, offer) if given else None
        self._record(client, where, fee, offer, given, owed)
        return given

    def _sell(self, client: int, fee: int, offer: int) -> int | None:
        """Give a licence for an offer; return the fine that is paid, None without an audit."""
        game, rule = self.game, self.rule
        self.economy.earn(client, offer, "licence.fee")
        self.economy.download(client)
        self.until[client] = game.clock.round + self.licences.rounds - 1
        seen = LicenceObservation(
            round=game.clock.round,
            client=client,
            usage=self.licences.usage,
            fee=fee,
            offer=offer,
            rng=game.streams.rng("audit", client, game.clock.round),
        )
        if not answers.truth(rule, "audits", rule.audits(seen)):
            return None
        fine = answers.whole(rule, "fine", rule.fine(fee, offer))
        paid = min(fine, game.treasury.balance(client))
        self.economy.earn(client, paid, "licence.fine")
        self.fined[client] = self.fined.get(client, 0) + (fine > 0)
        return paid

    def _record(
        self, client: int, where: str, fee: int, offer: int, given: bool, fine: int | None
    ) -> None:
        row: dict[str, Any] = {
            "round": self.game.clock.round,
            "client": client,
            "adversary": self.game.population[client].adversary,
            "usage": self.licences.usage,
            "jurisdiction": where or None,
            "fee": fee,
            "offer": offer,
            "granted": given,
            "until": self.until[client] if given else None,
            "audited": fine is not None,
            "fine": fine or 0,
            "version": self.economy.chain.head.kept[-1].version.id.hex(),
        }
        self.game.kernel.recorder.add("licences", [row])

    # --- checkpoints --------------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """Return JSON values at a round boundary."""
        return {
            "until": {str(client): last for client, last in self.until.items()},
            "fined": {str(client): times for client, times in self.fined.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `to_state`."""
        self.until = {int(client): last for client, last in state["until"].items()}
        self.fined = {int(client): times for client, times in state["fined"].items()}
