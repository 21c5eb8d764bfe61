"""Where plug-ins of this folder are looked up by name."""

from mechanisms.registry import Registry

workers = Registry("worker behaviours", package="agents.workers", base="WorkerBehaviour")
validators = Registry(
    "validator behaviours", package="agents.validators", base="ValidatorBehaviour"
)
miners = Registry("miner behaviours", package="agents.miners", base="MinerBehaviour")
learners = Registry("learners", package="agents.learners", base="Learner")

__all__ = ["learners", "miners", "validators", "workers"]
