"""The arms of the comparison, named as in the authors' plots, with labels and colours."""

VFL, VFL_ATTACKED = "VFL_0/20", "VFL_3/20"
OPEN, OPEN_ATTACKED = "VBFL_PoS_0/20_vh1.00", "VBFL_PoS_3/20_vh1.00"
VBFL, LYING, MATCHED = (
    "VBFL_PoS_3/20_vh0.08",
    "VBFL_PoS_3/20_vh0.08_mv",
    "VBFL_PoS_3/20_vh0.08_matched",
)
POW_1, POW_2 = "VBFL_PoW-D1_3/20_vh0.08", "VBFL_PoW-D2_3/20_vh0.08"
POS = (OPEN, OPEN_ATTACKED, VBFL, LYING, MATCHED)

# Labels and colours (Okabe and Ito).
STYLE = {
    VFL: ("VFL 0/20", "#56B4E9"),
    OPEN: ("VBFL 0/20, vh 1", "#000000"),
    OPEN_ATTACKED: ("VBFL 3/20, vh 1", "#E69F00"),
    VBFL: ("VBFL 3/20, vh 0.08", "#0072B2"),
    LYING: ("same, lying validators", "#CC79A7"),
    MATCHED: ("repair: matched epochs", "#009E73"),
    VFL_ATTACKED: ("VFL 3/20", "#D55E00"),
    POW_1: ("PoW, difficulty 1", "#E69F00"),
    POW_2: ("PoW, difficulty 2", "#D55E00"),
}
CONSENSUS = {VBFL: ("PoS", "#0072B2"), POW_1: STYLE[POW_1], POW_2: STYLE[POW_2]}


def styled(*arms: str) -> dict[str, tuple[str, str]]:
    """Return label and colour of some arms."""
    return {arm: STYLE[arm] for arm in arms}
