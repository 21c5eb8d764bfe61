"""A collective economy: pools, parties, and who decides."""

import pytest

import fedstake as fs
from sim.keys import SettingError
from sim.protocols.collective.settings import small_labelling
from sim.registries import protocols
from sim.scenario import scenario_of
from sim.world import World


def economy(**changes):
    """Return the scenario of the example with dotted keys changed; `__` stands for a dot."""
    example = scenario_of({"protocol": "collective", **protocols.get("collective").example()})
    return example.replace(**{key.replace("__", "."): value for key, value in changes.items()})


UNLABELLED = {"parties__annotators": 0, "labelling": small_labelling().model_dump()}
"""Nobody labels: all public samples have their labels."""


def play(scenario):
    """Return the tables of a played scenario as frames, and its world."""
    world = World(scenario)
    for _ in world.run():
        pass
    world.close()
    tables = {name: table.to_pandas() for name, table in world.kernel.tables().items()}
    return tables, world


def income(tables, device):
    people = tables["participants"]
    return int(people[people["device"] == device]["income"].sum())


def test_a_summary_has_a_line_for_each_party(tmp_path):
    """What one party pays another gets: a mean over both would say nothing."""
    run = fs.run(economy(), out=tmp_path / "run")
    people = run.participants
    lines = {entry.group: entry for entry in run.summary().utilities}
    honest = people[people["group"] == "honest"]
    parties = sorted(set(honest["party"]))
    assert sorted(name for name in lines if name.startswith("honest")) == [
        f"honest: {party}" for party in parties
    ]
    for party in parties:
        own = honest[honest["party"] == party].groupby("device")["utility"].sum()
        assert lines[f"honest: {party}"].mean == pytest.approx(own.mean())


class TestPools:
    def test_every_unit_of_the_stake_is_paid_or_comes_back(self):
        tables, world = play(economy(pools__stake=100_003))
        journal = tables["journal"]
        paid = journal[journal["reason"].str.startswith("reward.")]["amount"].sum()
        back = journal[journal["reason"] == "pool.refund"]
        held = back[back["credit"] == f"device:{world.kernel.scenario.creator}"]["amount"].sum()
        earned = journal[journal["reason"] == "licence.fee"]["amount"].sum()
        paid += journal[journal["reason"].str.startswith("labelling.reward")]["amount"].sum()
        assert 0 < paid < 100_003
        assert paid + held == 100_003
        assert world.kernel.treasury.balance(world.kernel.scenario.creator) == held + earned
        assert income(tables, world.kernel.scenario.creator) == held + earned - 100_003

    def test_shares_are_floored_and_contributors_get_the_rest(self):
        scenario = economy(pools__stake=101, rounds=1)
        assert scenario.pools.amounts == {"contributors": 51, "engineers": 30, "annotators": 20}
        tables, _ = play(scenario)
        journal = tables["journal"].query("reason == 'pool.funded'")
        funded = journal[journal["debit"] == f"device:{scenario.creator}"]
        assert funded["amount"].sum() == 101

    def test_shares_must_sum_to_one(self):
        with pytest.raises(SettingError, match=r"pools.contributors = 0.6: .* must be 1, not 1.1"):
            economy(pools__contributors=0.6)

    def test_the_table_of_pools_follows_the_journal(self):
        scenario = economy(pools__stake=100_000)
        tables, _ = play(scenario)
        pools = tables["pools"]
        for party, amount in scenario.pools.amounts.items():
            of = pools[pools["pool"] == party]
            assert (of["remaining"] + of["spent"].cumsum() == amount).all()

    def test_equal_shares_of_the_pool_are_another_rule(self):
        scenario = economy(payout__mechanism="equal-share", payout__params={"deadline": 2})
        tables, _ = play(scenario)
        journal = tables["journal"]
        rewards = journal[journal["reason"] == "reward.worker"]
        assert set(rewards["amount"]) == {scenario.pools.amounts["contributors"] // len(rewards)}

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"payout__mechanism": "flat"}, "must pay out of a pool"),
            ({"payout__params": {"pool": 5}}, "decided by pools.stake"),
            ({"payout__params": {"contributors": 0.5, "engineers": 0.5}}, "decided by pools."),
            ({"devices": 9}, "the parties and the creator together are 10"),
            ({"approval__members": 11}, "there are only 10 devices"),
            ({"versions__record": False}, "a collective keeps all versions"),
            ({"parties__clients": 0, "devices": 9, "licences__fee": 5}, "acts only where"),
            ({"parties__annotators": 0, "devices": 8}, "labelling = .* acts only where"),
            ({"record__tape": True}, "compare rules by a sweep"),
        ],
    )
    def test_what_nobody_could_play_is_refused(self, changes, message):
        with pytest.raises(SettingError, match=message):
            economy(**changes)


class TestParties:
    def test_only_contributors_hold_samples_and_train(self):
        tables, world = play(economy())
        people = tables["participants"]
        creator = people[people["party"] == "creator"]
        assert set(creator["device"]) == {9}
        assert not people[people["party"].isin(["creator", "client"])]["samples"].any()
        assert creator["role"].isna().all()
        assert (tables["rounds"]["workers"] == 4).all()
        assert people[people["party"] == "contributor"]["samples"].min() > 0
        split = world.protocol.game.bench.split
        engineers = people[people["party"] == "engineer"]
        assert len(split.public) / 2 <= engineers["samples"].min()
        assert engineers["samples"].max() <= len(split.public)
        own = [*split.train[:4], split.public, split.held_out]
        assert len({i for part in own for i in part}) == sum(map(len, own)) == 160

    def test_sequential_scores_pay_s_times_what_is_left(self):
        """With one score s the k-th payment of a pool P is s (1 - s)^(k - 1) P, floored."""
        score, pool = 0.1, 100_000
        params = {"score": score, "improve_only": False}
        scenario = economy(payout__params=params, pools__stake=2 * pool)
        tables, _ = play(scenario)
        rewards = tables["journal"].query("reason == 'reward.contributor'")["amount"]
        assert len(rewards) == 16
        for k, amount in enumerate(rewards):
            assert amount == pytest.approx(score * (1 - score) ** k * pool, abs=2)

    def test_master_models_have_ids_of_their_own(self):
        def model(**changes):
            return play(economy(rounds=1, **changes))[1].protocol.facts()["master_model"]

        first, again, other = model(), model(), model(seed=7)
        assert first == again != other
        assert len(first) == 64

    def test_groups_are_drawn_among_those_that_can_play_them(self):
        workers = {"name": "bad", "count": 4, "worker": "sign-flip"}
        engineers = {"name": "worse", "count": 2, "engineer": "spam"}
        _, world = play(economy(adversaries=[workers, engineers], rounds=1))
        groups = {p.device: p.group for p in world.kernel.population}
        assert {d for d, group in groups.items() if group == "bad"} == {0, 1, 2, 3}
        assert {d for d, group in groups.items() if group == "worse"} == {4, 5}
        with pytest.raises(SettingError, match=r"adversaries.1.count = 3: at most 2 can be drawn"):
            economy(adversaries=[workers, {**engineers, "count": 3}])


ENGINEER, COALITION = 5, "coalition"


def colluders(number, needed, **changes):
    """Return an economy whose engineer 5 sends spam, which so many of five members approve."""
    group = {"name": COALITION, "devices": [*range(number), ENGINEER]}
    behaviours = {"engineer": "spam", "member": "collude"}
    return economy(
        adversaries=[{**group, **behaviours}],
        approval__members=4,
        approval__params={"needed": needed, "decided": "median"},
        pools__stake=10_000,
        **changes,
    )


class TestApproval:
    @pytest.mark.parametrize("needed", [1, 2, 3, 4])
    def test_m_of_n_is_drained_exactly_from_m_colluders_on(self, needed):
        """Members that test reject spam: coalitions of fewer than m members get nothing."""
        for number in range(5):
            scenario = colluders(number, needed, rounds=1, engineers__public=0.0)
            tables, _ = play(scenario)
            stolen = tables["journal"].query("reason == 'reward.engineer' and credit == 'device:5'")
            assert stolen["amount"].sum() == (3_000 if number >= needed else 0)
            left = tables["pools"].query("pool == 'engineers'")["remaining"].iloc[-1]
            assert left == (0 if number >= needed else 3_000)

    def test_shares_of_what_is_left_and_of_the_start(self):
        """After k versions P (1 - s)^k is left of the pool, or P (1 - k s) until nothing is."""
        everybody = {"name": "lazy", "devices": [0, 1, 2, 3], "member": "lazy"}
        for of, left in (("remaining", [2250, 1688, 1266, 950]), ("initial", [2250, 1500, 750, 0])):
            scenario = economy(
                adversaries=[everybody],
                parties__engineers=1,
                devices=9,
                approval__params={"share": 0.25, "of": of},
                pools__stake=10_000,
            )
            tables, _ = play(scenario)
            pool = tables["pools"].query("pool == 'engineers'")
            assert pool["remaining"].tolist() == left

    def test_an_approved_version_is_the_master_model_and_a_link_of_its_chain(self):
        tables, _ = play(colluders(4, 2))
        versions, submissions = tables["versions"], tables["submissions"]
        approved = submissions[submissions["approved"]]
        assert len(approved) > 0
        by_weights = versions.set_index("weights")
        for row in approved.itertuples():
            assert by_weights.loc[row.weights]["author"] == row.author
            assert by_weights.loc[row.weights]["parent"] == row.parent
        assert versions["parent"].tolist()[1:] == versions["version"].tolist()[:-1]
        assert submissions["submission"].is_unique

    def test_members_join_and_leave(self):
        changes = [
            {"round": 2, "device": 9, "joins": True},
            {"round": 3, "device": 0, "joins": False},
        ]
        tables, _ = play(economy(approval__changes=changes, approval__members=2))
        judged = tables["member_votes"].groupby("round")["member"].agg(set)
        assert judged.to_dict() == {1: {0, 1}, 2: {0, 1, 9}, 3: {1, 9}, 4: {1, 9}}
        assert tables["rounds"]["members"].tolist() == [2, 3, 2, 2]

    def test_members_test_on_samples_that_are_not_reported_on(self):
        tables, _ = play(economy(approval__test_samples=10))
        judged, reported = tables["member_votes"], tables["submissions"]
        assert set((judged["accuracy"] * 10) % 1) <= {0.0}
        assert judged.groupby(["round", "author"])["accuracy"].nunique().max() > 1
        assert not (reported["held_out_accuracy"] * 60 % 1 == 0).all()

    def test_a_charge_that_the_pool_is_not_worth_keeps_engineers_away(self):
        charges = ({"engineers__charge": amount, "adversaries": []} for amount in (0, 7_000))
        cheap, expensive = (play(economy(**charge))[0] for charge in charges)
        assert cheap["rounds"]["submitted"].sum() == 8
        assert expensive["rounds"]["submitted"].sum() == 0

    def test_charges_top_up_the_pools_and_go_to_the_creator(self):
        scenario = economy(
            engineers__charge=100,
            payout__initial_balance=1_000,
            pools__top_up=0.5,
            parties__clients=0,
            devices=7,
            rounds=1,
            referenda__proposals=(),
            **UNLABELLED,
        )
        tables, _ = play(scenario)
        paid = tables["journal"].query("reason == 'charge.download'")
        to = paid.groupby("credit", observed=True)["amount"].sum().to_dict()
        # Half of each charge of 100 goes to pools of 0.3 and 0.2 of the stake.
        assert to == {"pool:engineers": 60, "pool:annotators": 40, "device:6": 100}

    def test_pools_expire(self):
        tables, _ = play(economy(pools__expires=2))
        pools = tables["pools"].set_index(["pool", "round"])["remaining"]
        assert pools["engineers", 2] > 0
        assert pools["engineers", 3] == pools["engineers", 4] == 0
        assert pools["annotators", 3] < pools["annotators", 2], "only open tasks give back"
        assert tables["rounds"]["submitted"].tolist()[2:] == [1, 1], "only spam goes on"

    def test_what_expires_goes_back_to_the_unit_and_gets_nothing_more(self):
        tables, world = play(economy(pools__expires=2, pools__top_up=1.0, labelling__tasks=0))
        creator = f"device:{world.kernel.scenario.creator}"
        back = tables["journal"].query("reason == 'pool.refund' and round == 2")
        held = tables["pools"].set_index(["pool", "round"])["remaining"]
        own = back[back["credit"] == creator].set_index("debit")["amount"]
        assert own["pool:engineers"] == held["engineers", 2] > 0
        assert own["pool:annotators"] == held["annotators", 2] > 0
        assert held["engineers", 4] == held["annotators", 4] == 0, "income tops up no ended pool"

    def test_a_backdoor_passes_the_test_of_members(self):
        group = {"name": "bad", "devices": [4, 5], "engineer": "backdoor"}
        params = {"size": 3, "fraction": 0.5}
        values = economy().to_dict()
        values["adversaries"] = [{**group, "engineer_params": params}]
        values["engineers"] |= {"public": 0.3, "epochs": 10}
        values["approval"] |= {"members": 1, "params": {"needed": 1}}
        tables, _ = play(scenario_of(values))
        sent = tables["submissions"]
        assert sent["approved"].any()
        success = tables["rounds"]["attack_success"]
        assert success.iloc[-1] > success.iloc[0] or success.iloc[0] > 0.5


def sold(rule, behaviour="calculating", **changes):
    """Return the played licences of 12 clients that all behave in the same way."""
    group = {"name": "clients", "devices": [*range(8, 20)], "client": behaviour}
    scenario = economy(
        parties__clients=12,
        devices=21,
        adversaries=[group],
        referenda__proposals=(),
        licences__rule=rule.pop("rule"),
        licences__params=rule,
        licences__rounds=1,
        clients__spread=0.0,
        clients__value=1e6,
        clients__balance=10**6,
        **changes,
    )
    return play(scenario)[0]


class TestLicences:
    @pytest.mark.parametrize("fine", [1.0, 2.0, 4.0, 10.0])
    def test_it_pays_to_pay_exactly_where_audits_cost_what_is_saved(self, fine):
        """Paying nothing saves the fee and costs a F fee: at a F >= 1 nobody does."""
        for times, paying in ((0.99, 0), (1.0, 1), (1.01, 1)):
            probability = min(1.0, times / fine)
            rule = {"rule": "audited", "probability": probability, "fine": fine}
            licences = sold(rule, rounds=1)["licences"]
            expected = paying if probability * fine >= 1 else 0
            assert (licences["offer"] == expected * licences["fee"]).all()

    def test_what_is_underpaid_costs_what_the_rule_says(self):
        rule = {"rule": "audited", "probability": 0.5, "fine": 0.5}
        tables = sold(rule, behaviour="underpay")
        licences = tables["licences"]
        assert set(licences["offer"]) == {0}
        assert set(licences[licences["audited"]]["fine"]) == {500}
        assert 0 < licences["audited"].mean() < 1
        fines = tables["journal"].query("reason == 'licence.fine'")["amount"].sum()
        assert fines == licences["fine"].sum()

    def test_trust_earns_nothing_from_those_that_count_on_it(self):
        assert not sold({"rule": "trust"})["licences"]["offer"].any()
        assert sold({"rule": "trust"})["licences"]["granted"].all()
        assert (sold({"rule": "enforced"})["licences"]["offer"] == 1_000).all()
        refused = sold({"rule": "enforced"}, behaviour="underpay")["licences"]
        assert not refused["granted"].any()
        assert not refused["offer"].any()

    def test_a_licence_is_bought_where_it_is_worth_it_and_lasts(self):
        values = {"clients__spread": 0.0, "licences__rounds": 2, "adversaries": []}
        values["referenda__proposals"] = ()
        tables, _ = play(economy(clients__value=10_000.0, **values))
        licences = tables["licences"]
        assert licences["round"].tolist() == [1, 3]
        people = tables["participants"].query("party == 'client'").set_index("round")
        accuracy = tables["rounds"].set_index("round")["accuracy"]
        assert people["benefit"][1] == pytest.approx(10_000 * accuracy[1])
        assert people["utility"][1] == pytest.approx(people["benefit"][1] - 1_000)
        assert people["accuracy"][1] == accuracy[1]
        assert play(economy(clients__value=900.0, **values))[0]["licences"].empty

    def test_clients_pay_the_fee_of_their_jurisdiction(self):
        places = [{"name": "EU", "fee": 300}, {"name": "UK", "fee": 200}]
        values = economy().to_dict()
        values |= {"devices": 12, "referenda": {}}
        values["parties"]["clients"] = 3
        values["licences"]["jurisdictions"] = places
        licences = play(scenario_of(values))[0]["licences"]
        paid = licences.groupby("client")["offer"].max().to_dict()
        assert paid == {8: 300, 9: 200, 10: 300}


class TestLabels:
    def test_bought_labels_become_public_training_data(self):
        tables, world = play(economy(pools__stake=10**6))
        bench, bought = world.protocol.game.bench, tables["labels"]
        assert len(bought) > 0
        known = set(bench.split.train[4].tolist())
        assert set(bought["item"]) <= known <= set(bench.split.public.tolist())
        labels = bench.engine._trainer.y[bought["item"].to_numpy()].numpy()
        assert (labels == bought["label"]).all(), "engineers train on what was bought"
        assert not bought["right"].all(), "which is not always right"

    def test_who_pays_for_labels_is_the_annotators_pool(self):
        tables, _ = play(economy())
        journal = tables["journal"]
        moved = journal[journal["reason"].str.startswith("labelling.")]
        net = moved[moved["credit"].str.startswith("device:")]["amount"].sum()
        pool = tables["pools"].query("pool == 'annotators'")
        assert pool["spent"].sum() == net > 0

    def test_without_annotators_all_public_samples_are_labelled(self):
        tables, _ = play(economy(devices=8, **UNLABELLED))
        engineers = tables["participants"].query("party == 'engineer'")
        assert set(engineers["samples"]) == {40}


class TestReferenda:
    def decided(self, changes, **more):
        """Return the tables after a proposal that everybody is for, decided in round 2."""
        proposal = {"round": 1, "changes": changes, "worth": 1.0}
        referenda = {"delay_s": 0.0, "proposals": [proposal]}
        return play(scenario_of({**economy(**more).to_dict(), "referenda": referenda}))[0]

    def test_a_fee_that_was_voted_is_the_fee(self):
        tables = self.decided({"licences.fee": 700}, licences__rounds=1, clients__value=10_000.0)
        assert tables["referenda"]["status"].tolist() == ["passed"]
        assert tables["licences"]["fee"].tolist() == [1_000, 700, 700, 700]

    def test_a_charge_and_a_threshold_that_were_voted_are_in_force(self):
        lazy = [{"name": "lazy", "devices": [0, 1, 2], "member": "lazy"}]
        changes = {"approval.needed": 4, "engineers.charge": 3}
        more = {"adversaries": lazy, "payout__initial_balance": 100, "engineers__public": 0.3}
        tables = self.decided(changes, **more)
        assert tables["rounds"]["approved"].tolist() == [2, 0, 0, 0]
        charged = tables["journal"].query("reason == 'charge.download'")
        assert charged.groupby("round")["amount"].sum().to_dict() == {2: 6, 3: 6, 4: 6}

    def test_who_may_not_buy_is_not_asked(self):
        tables = self.decided({"licences.sells": 0}, licences__rounds=1, clients__value=10_000.0)
        assert tables["licences"]["round"].tolist() == [1]

    def test_what_cannot_be_is_refused(self):
        with pytest.raises(SettingError, match=r"proposals.0.changes.*pools.top_up: must be from"):
            self.decided({"pools.top_up": 2.0})
