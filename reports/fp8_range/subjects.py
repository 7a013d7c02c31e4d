"""The reference model at depth 4, with the learning rates that the u-µP paper trains at."""

from dataclasses import replace

import reference_model

mup = replace(reference_model.mup, depth=4, learning_rates={"adamw": 2.0**-8})
umup = replace(reference_model.umup, depth=4, learning_rates={"adamw": 2.0**1})
depth_mup = replace(reference_model.depth_mup, depth=4, learning_rates={"adamw": 2.0**-8})
