"""Slow references, from the definitions, of everything that acts on rows of strangers.

Numbers are `Decimal` of 300 digits in object arrays: sums, differences and products of float32
numbers are exact in them, quotients and roots have no rounding that float64 could see. A reference
takes the observation and the plug-in's parameters, and is found by the plug-in's name.
"""

import math
from decimal import Decimal, getcontext

import numpy as np

from mechanisms.geometry import TIED

getcontext().prec = 300
ZERO = Decimal(0)
ONE = Decimal(1)
NEAR = Decimal(TIED)


def exact(values):
    """Return an array of floats as decimals, without any rounding."""
    array = np.asarray(values)
    flat = [Decimal(v) for v in array.astype(np.float64).ravel().tolist()]
    out = np.empty(len(flat), dtype=object)
    out[:] = flat
    return out.reshape(array.shape)


def dot(a, b):
    return sum((p * q for p, q in zip(a, b, strict=True)), ZERO)


def length(a):
    return dot(a, a).sqrt()


def cosine(a, b):
    lengths = length(a) * length(b)
    return dot(a, b) / lengths if lengths else ZERO


def midpoint(values):
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def columns(x, reduce):
    """Return `reduce` of the sorted values of each column."""
    return np.array([reduce(sorted(column)) for column in x.T], dtype=object)


def squared_distances(x):
    return [[dot(a - b, a - b) for b in x] for a in x]


def first_lowest(scores):
    return next(i for i, s in enumerate(scores) if s <= min(scores) * (1 + NEAR))


def tolerated(f, n, slope, constant):
    return max(0, min(f, (n - constant) // slope))


# --- aggregation rules ------------------------------------------------------------------------


def mean(seen, p):
    samples = exact(seen.samples if p.weighted else np.ones(len(seen.workers)))
    return samples @ exact(seen.updates) / sum(samples)


def median(seen, p):
    return columns(exact(seen.updates), midpoint)


def trimmed_mean(seen, p):
    n = len(seen.workers)
    f = tolerated(p.f, n, 2, 1)
    return columns(exact(seen.updates), lambda v: sum(v[f : n - f]) / (n - 2 * f))


def krum_scores(distances, rows, count):
    """Return for each of `rows` the sum of its `count` smallest distances to others of them."""
    count = max(1, count)
    return [sum(sorted(distances[i][j] for j in rows if j != i)[:count], ZERO) for i in rows]


def _of_krum(seen, p):
    n = len(seen.workers)
    f = tolerated(p.f, n, 2, 3)
    count = n - f - (2 if p.neighbours == "n-f-2" else 1)
    return krum_scores(squared_distances(exact(seen.updates)), range(n), count), f


def krum(seen, p):
    return exact(seen.updates[first_lowest(_of_krum(seen, p)[0])])


def multi_krum(seen, p):
    scores, f = _of_krum(seen, p)
    rest = list(range(len(scores)))
    keep = min(len(rest), p.keep or len(rest) - f)
    kept = [rest.pop(first_lowest([scores[i] for i in rest])) for _ in range(keep)]
    return sum(exact(seen.updates[kept])) / keep


def repeated_krum(distances, f, rows):
    rest = list(range(len(distances)))
    for _ in range(rows):
        pick = first_lowest(krum_scores(distances, rest, len(rest) - f - 2))
        yield rest.pop(pick)


def bulyan(seen, p):
    x = exact(seen.updates)
    n = len(x)
    f = tolerated(p.f, n, 4, 3)
    if f:
        x = x[sorted(repeated_krum(squared_distances(x), f, n - 2 * f))]
    beta = n - 4 * f

    def closest(ordered):
        centre = midpoint(ordered)
        return sum(sorted(ordered, key=lambda v: abs(v - centre))[:beta]) / beta

    return columns(x, closest)


def geometric_median(seen, p):
    """Smoothed Weiszfeld iterations on points, not on weights."""
    getcontext().prec = 80  # many steps: quicker, and still far beyond float64
    x = exact(seen.updates)
    z = columns(x, midpoint)
    scale = midpoint([dot(row - z, row - z) for row in x]).sqrt()
    if scale:
        for _ in range(200):
            pulls = [1 / max(length(row - z), Decimal(p.smoothing) * scale) for row in x]
            before, z = z, sum(w * row for w, row in zip(pulls, x, strict=True)) / sum(pulls)
            if length(z - before) < Decimal("1e-9") * scale:
                break
    getcontext().prec = 300
    return z


def centred_clipping(seen, p):
    centre = exact(seen.global_model)
    for _ in range(p.iterations):
        steps = [clip(row - centre, p.radius) for row in exact(seen.updates)]
        centre = centre + sum(steps) / len(steps)
    return centre


def clip(step, bound):
    norm = length(step)
    return step * (Decimal(bound) / norm) if norm > Decimal(bound) else step


def fltrust(seen, p):
    base = exact(seen.global_model)
    clean = exact(seen.root) - base
    steps = [row - base for row in exact(seen.updates)]
    trusts = [max(ZERO, cosine(step, clean)) for step in steps]
    if not sum(trusts):
        return base
    scaled = [
        t * step * (length(clean) / length(step))
        for t, step in zip(trusts, steps, strict=True)
        if t
    ]
    return base + sum(scaled) / sum(trusts)


def foolsgold(seen, p):
    base = exact(seen.global_model)
    steps = [row - base for row in exact(seen.updates)]
    n = len(steps)
    if n == 1:
        return exact(seen.updates[0])
    alike = [[cosine(a, b) for b in steps] for a in steps]
    top = [max(alike[i][j] for j in range(n) if j != i) for i in range(n)]
    weights = []
    for i in range(n):
        pardoned = []
        for j in range(n):
            if j != i:
                pardons = top[i] < top[j] and top[j] > 0
                factor = max(ZERO, top[i] / top[j]) if pardons else ONE
                pardoned.append(alike[i][j] * factor)
        weights.append(min(ONE, max(ZERO, 1 - max(pardoned))))
    if max(weights) < Decimal("1e-12"):
        return base
    weights = [logit(w / max(weights)) for w in weights]
    rows = exact(seen.updates)
    return sum(w * row for w, row in zip(weights, rows, strict=True)) / sum(weights)


def logit(w):
    if w in (0, 1):
        return w
    return min(ONE, max(ZERO, Decimal(math.log(w / (1 - w))) + Decimal("0.5")))


AGGREGATORS = {
    "bulyan": bulyan,
    "centred-clipping": centred_clipping,
    "fltrust": fltrust,
    "foolsgold": foolsgold,
    "geometric-median": geometric_median,
    "krum": krum,
    "mean": mean,
    "median": median,
    "multi-krum": multi_krum,
    "trimmed-mean": trimmed_mean,
}


# --- transforms -------------------------------------------------------------------------------


def nearest_neighbour_mixing(seen, p):
    x = exact(seen.updates)
    n = len(x)
    keep = n - tolerated(p.f, n, 2, 1)
    mixed = []
    for i, row in enumerate(squared_distances(x)):
        apart = [*row[:i], -ONE, *row[i + 1 :]]
        last = sorted(apart)[keep - 1]
        nearer = [j for j in range(n) if apart[j] <= last * (1 - NEAR)]
        as_near = [j for j in range(n) if abs(apart[j] - last) < last * NEAR]
        if last == 0 or n == 1:
            nearer, as_near = [i], [j for j in range(n) if apart[j] == 0]
        mixed.append(sum(x[[*nearer, *as_near][:keep]]) / keep)
    return np.array(mixed)


def norm_clipping(seen, p):
    base = exact(seen.global_model)
    return np.array([base + clip(row - base, p.bound) for row in exact(seen.updates)])


TRANSFORMS = {
    "nearest-neighbour-mixing": nearest_neighbour_mixing,
    "norm-clipping": norm_clipping,
}


# --- validation rules and payouts that see rows -----------------------------------------------


def distance(seen, p):
    x = exact(seen.updates)
    centre = columns(x, midpoint)
    away = [length(row - centre) for row in x]
    return [a <= Decimal(p.factor) * midpoint(away) * (1 + NEAR) for a in away]


VALIDATORS = {"distance": distance}


def cosine_weights(seen, p):
    x = exact(seen.updates) - exact(seen.start)
    aims = [sum(x) - (row if p.to == "others" else 0 * row) for row in x]
    return [max(ZERO, cosine(row, aim)) for row, aim in zip(x, aims, strict=True)]


PAYOUTS = {"cosine": cosine_weights}


# --- attacks that see the rows of others ------------------------------------------------------


def deviations(x):
    centre = sum(x) / len(x)
    squares = sum((row - centre) * (row - centre) for row in x) / len(x)
    return centre, np.array([v.sqrt() for v in squares], dtype=object)


def alie(seen, p):
    from agents.workers.alie import z_max

    centre, spread = deviations(exact(seen.others))
    malicious = len(seen.devices)
    z = p.z or z_max(malicious + len(seen.others), malicious)
    return centre - Decimal(z) * spread


def inner_product(seen, p):
    base = exact(seen.global_models[0])
    centre, _ = deviations(exact(seen.others))
    return base - Decimal(p.epsilon) * (centre - base)


def _spread(seen, p, within):
    """Return mean + gamma p with the largest gamma for which `within` bounds hold."""
    x = exact(seen.others)
    centre, spread = deviations(x)
    step = centre - exact(seen.global_models[0])
    away = {
        "unit": -step / (length(step) or 1),
        "deviation": -spread,
        "sign": np.array([-ONE.copy_sign(v) if v else ZERO for v in step], dtype=object),
    }[p.direction]
    square = dot(away, away)
    if not square:
        return centre
    apart = [dot(centre - row, centre - row) for row in x]
    along = [dot(centre - row, away) for row in x]
    return centre + within(apart, along, square, squared_distances(x)) * away


def root(constant, half, square):
    inside = max(ZERO, half * half - square * constant)
    return max(ZERO, (inside.sqrt() - half) / square)


def min_max(seen, p):
    def within(apart, along, square, distances):
        most = max(map(max, distances))
        return min(root(a - most, b, square) for a, b in zip(apart, along, strict=True))

    return _spread(seen, p, within)


def min_sum(seen, p):
    def within(apart, along, square, distances):
        most = max(map(sum, distances))
        return root(sum(apart) - most, sum(along), len(apart) * square)

    return _spread(seen, p, within)


ATTACKS = {
    "alie": alie,
    "inner-product": inner_product,
    "min-max": min_max,
    "min-sum": min_sum,
}
