"""The search space of a study; edit it to search something else.

A key is a setting (`pa-difc compare --help` lists them) or an option of the method or loss (`pa-difc list methods`,
`pa-difc list losses`). Dimensions without `always=True` are searched only with `--tune KEY`.

Ranges span decades on purpose. At the paper's point (cap 0.3, ε 0.02) margins are small against logits of 5 to 10, and
a search around it would compare noise.
"""

from pa_difc.tuning import LAST_EPOCH, Dimension

SPACE = {
    "max_margin": Dimension(
        "the largest class margin; γ follows from it", "logit units", low=0.05, high=3.0, log=True, always=True
    ),
    "epsilon": Dimension(
        "ε, the largest increment for confusion", "logit units", low=0.005, high=1.0, log=True, always=True
    ),
    "scale": Dimension("s, the factor on the classifier's logits", low=0.3, high=30.0, log=True),
    "classifier": Dimension("the classifier", choices=("linear", "cosine")),
    "confusion_epoch": Dimension("T1, first epoch of the DIFC phase", "epochs", low=0, high=LAST_EPOCH),
    "reweight": Dimension("deferred re-weighting on or off", choices=(True, False)),
    "reweight_epoch": Dimension("first epoch with class weights", "epochs", low=0, high=LAST_EPOCH),
    "beta": Dimension("β of the class weights", choices=(0.9, 0.99, 0.999, 0.9999, 0.99999)),
    "weight": Dimension("factor on the method's own loss", around=30, log=True),
    "lr": Dimension("learning rate until the switch", around=30, log=True),
}
