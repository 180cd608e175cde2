from unetrt.model_sizes import size_rule

__all__ = ["size_rule"]
