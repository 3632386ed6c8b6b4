"""Estimates, intervals and tests on arrays; scipy is imported inside the functions that need it.

Over languages: `correlation`, `regression`. Over instances: `cohorts`, `association` (2×2 tables), `discrimination` (AUC).
Over instances of many languages: `strata`, `pooled`, `mixed`. `layers` chooses a layer and answers for the choice, `paired`
compares two runs, `multiplicity` corrects for many tests, `estimates` holds what all share.
"""

from crossalign.statistics.association import (
    Conditionals,
    CrossTable,
    conditionals,
    cross_table,
    fisher_exact,
    odds_ratio,
)
from crossalign.statistics.cohorts import (
    COHORTS,
    cohort_sizes,
    cohorts,
    delta,
    mean_difference,
    published_delta,
    rate_difference,
)
from crossalign.statistics.correlation import (
    COEFFICIENTS,
    FEWEST_POINTS,
    Correlation,
    correlation,
    correlation_difference,
    kendall,
    pearson,
    spearman,
)
from crossalign.statistics.discrimination import auc, mann_whitney
from crossalign.statistics.estimates import Estimate, Rate, means, rate, rate_of_counts, undefined
from crossalign.statistics.layers import (
    ByLayer,
    held_out_delta,
    held_out_layers,
    held_out_values,
    layer_correlations,
    layer_deltas,
)
from crossalign.statistics.mixed import MixedLogistic, between_languages, language_means, mixed_logistic
from crossalign.statistics.multiplicity import benjamini_hochberg, holm
from crossalign.statistics.paired import PairedCounts, mcnemar_exact, paired_counts, paired_difference
from crossalign.statistics.pooled import mean_rate, pooled_auc, pooled_difference
from crossalign.statistics.regression import LinearFit, indicators, leave_one_out, linear_fit, partial_correlation
from crossalign.statistics.strata import (
    CommonOddsRatio,
    clustered_mantel_haenszel,
    mantel_haenszel,
    stratified_tables,
)

__all__ = [
    "ByLayer", "COEFFICIENTS", "COHORTS", "CommonOddsRatio", "Conditionals", "Correlation", "CrossTable", "Estimate",
    "FEWEST_POINTS", "LinearFit", "MixedLogistic", "PairedCounts", "Rate", "auc", "benjamini_hochberg", "between_languages", "clustered_mantel_haenszel",
    "cohort_sizes", "cohorts", "conditionals", "correlation", "correlation_difference", "cross_table", "delta",
    "fisher_exact", "held_out_delta", "held_out_layers", "held_out_values", "holm", "indicators", "kendall", "language_means",
    "layer_correlations", "layer_deltas", "leave_one_out", "linear_fit", "mann_whitney", "mantel_haenszel",
    "mcnemar_exact", "mean_difference", "mean_rate", "means", "mixed_logistic", "odds_ratio", "paired_counts", "paired_difference",
    "partial_correlation", "pearson", "pooled_auc", "pooled_difference", "published_delta", "rate", "rate_difference",
    "rate_of_counts", "spearman", "stratified_tables", "undefined",
]  # fmt: skip
