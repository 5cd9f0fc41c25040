"""The standard life cycle of a conversation."""

# Every definition has this state without declaring it: reached from anywhere, left to where it was entered.
ERROR = "error"

# The standard life cycle: what each of the standard states may be followed by. `error` is not listed: see above.
LIFE_CYCLE: dict[str, tuple[str, ...]] = {
    "initialized": ("onboarding",),
    "onboarding": ("collecting_info",),
    "collecting_info": ("processing",),
    "processing": ("waiting_for_input", "completed"),
    "waiting_for_input": ("processing", "completed"),
    "completed": (),
}
