"""Takes in a résumé, the first one or a better one. The slot reads it; this has it asked for at once."""

from tertulia.domain.skills.skill import AskFor, Situation, Skill, requests

RESUME = "resume"
_RESUME = (
    r"(?:my |a |an |the |another )?(?:new |newer |better |updated |latest |other )*"
    r"(?:r[eé]sum[eé]|cv|curriculum(?: vitae)?)"
)


def _does(_: Situation) -> AskFor:
    return AskFor((RESUME,))


SKILL = Skill(
    summary="takes in the person's résumé, or a newer one",
    recognises=requests(
        rf"(?:send|upload|attach|add|paste|give|give you|send you|share|replace|update|change|submit) {_RESUME}",
        rf"(?:i have|here is|here's|where (?:do|can) i (?:send|upload|paste|put)) {_RESUME}",
    ),
    does=_does,
    needs=(RESUME,),
)
