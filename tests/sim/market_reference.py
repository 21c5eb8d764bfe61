"""A market in plain loops after the facts known of the authors' simulator, to be held against ours.

Every act scans all data that can still be claimed and asks scikit-learn's model about each. Amounts
are floats in tokens, as there; waits and deposits are whole and drawn again until they are
positive; equal times are in order of names.
"""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass, field

import numpy as np

DAY = 86_400
T_R, T_A = DAY, 9 * DAY


@dataclass
class Agent:
    name: str
    balance: float
    deposit: float
    spread: float
    wait: float
    good: bool = True
    mistakes: float = 0.0


@dataclass
class Datum:
    row: int
    label: int
    time: int
    author: str
    deposit: float
    left: float
    claimed_by: set[str] = field(default_factory=set)


@dataclass
class Reference:
    """One market: after `play`, `acts` and `claims` hold what happened.

    acts    (time, agent, action, sample, label, offer, accuracy), `submit` or `claim`
    claims  (time, agent, kind, sample, amount)
    costs   of every `submit`, None where it was refused
    """

    model: object
    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    initial: int
    agents: list[Agent]
    seed: int

    def play(self) -> None:
        self.draw = random.Random(self.seed)
        self.data: list[Datum] = []
        self.acts, self.claims, self.costs = [], [], []
        self.verified = {agent.name: 0 for agent in self.agents}
        self.last_time, self.next = 0, self.initial
        self.accuracy, next_accuracy = self.measure(), 1e4
        queue = [(self.next_wait(agent), agent.name, agent) for agent in self.agents]
        heapq.heapify(queue)
        while queue and (self.next < len(self.x) or self.data):
            time, _, agent = heapq.heappop(queue)
            if time > next_accuracy:
                self.accuracy = self.measure()
                next_accuracy += 2e5
            balance = agent.balance
            self.act(time, agent)
            if balance > 0:
                wait = self.next_wait(agent)
                heapq.heappush(queue, (time + wait, agent.name, agent))
            self.claim(time, agent)

    def measure(self) -> float:
        return float((self.model.predict(self.x_test) == self.y_test).mean())

    def next_wait(self, agent: Agent) -> int:
        return self.positive(agent.wait, 1)

    def positive(self, mean: float, spread: float) -> int:
        while True:
            drawn = int(self.draw.gauss(mean, spread))
            if drawn >= 1:
                return drawn

    # --- acts -----------------------------------------------------------------------------------

    def act(self, time: int, agent: Agent) -> None:
        if agent.balance <= 0 or self.next == len(self.x):
            self.acts.append((time, agent.name, "claim", "", "", "", self.accuracy))
            return
        row = self.next
        label = int(self.y[row])
        if not agent.good:
            label = 1 - label
        if self.draw.random() < agent.mistakes:
            label = 1 - label
        if agent.good and self.draw.random() >= self.accuracy + 0.15:
            self.acts.append((time, agent.name, "claim", "", "", "", self.accuracy))
            return
        offer = min(self.positive(agent.deposit, agent.spread), agent.balance)
        self.acts.append((time, agent.name, "submit", row, label, offer, self.accuracy))
        self.costs.append(self.submit(time, agent, row, label, offer))

    def submit(self, time: int, agent: Agent, row: int, label: int, offer: float) -> float | None:
        elapsed = time - self.last_time
        if elapsed <= 0:
            return None
        cost = max(1, math.floor(60 / math.floor(math.sqrt(elapsed))))
        if offer < cost:
            return None
        self.last_time = time
        self.next += 1
        agent.balance -= cost
        self.data.append(Datum(row, label, time, agent.name, cost, cost))
        self.model.partial_fit(self.x[row : row + 1], [label])
        return cost

    # --- claims ---------------------------------------------------------------------------------

    def claim(self, time: int, agent: Agent) -> None:
        ran_out = self.next == len(self.x)
        for datum in self.data:
            age = time - datum.time
            if age < (T_A if ran_out else T_R):
                break
            kind, amount = self.asked(datum, age, agent)
            if amount:
                datum.left -= amount
                datum.claimed_by.add(agent.name)
                agent.balance += amount
                self.claims.append((time, agent.name, kind, datum.row, amount))
        self.data = [datum for datum in self.data if datum.left > 0]

    def asked(self, datum: Datum, age: int, agent: Agent) -> tuple[str, float]:
        own = agent.name == datum.author
        if age > T_A or (age == T_A and not own):
            return "sweep", datum.left
        if age <= T_R or agent.name in datum.claimed_by:
            return "", 0
        predicted = int(self.model.predict(self.x[datum.row : datum.row + 1])[0])
        if own:
            return "refund", self.refund(datum, agreed=predicted == datum.label)
        return "report", self.report(datum, agent, agreed=predicted == datum.label)

    def refund(self, datum: Datum, *, agreed: bool) -> float:
        if not agreed:
            return 0
        self.verified[datum.author] += 1
        return datum.left

    def report(self, datum: Datum, agent: Agent, *, agreed: bool) -> float:
        own = self.verified[agent.name]
        if agreed or own == 0:
            return 0
        reward = datum.deposit * own / sum(self.verified.values())
        return min(reward, datum.left)
