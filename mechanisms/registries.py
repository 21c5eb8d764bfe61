"""Where plug-ins of this folder are looked up by name."""

from mechanisms.registry import Registry

payouts = Registry("mechanisms", package="mechanisms.payouts", base="PayoutRule")
parts = Registry("parts", package="mechanisms.parts", base="Part")
roles = Registry("roles", package="mechanisms.roles", base="RoleRule")
validators = Registry("validators", package="mechanisms.validators", base="ValidationRule")
aggregators = Registry("aggregators", package="mechanisms.aggregators", base="AggregationRule")
transforms = Registry("transforms", package="mechanisms.transforms", base="Transform")

verifiers = Registry("verifiers", package="mechanisms.verifiers", base="Verifier")

__all__ = ["aggregators", "parts", "payouts", "roles", "transforms", "validators", "verifiers"]
