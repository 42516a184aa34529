// The little statistics of the bench.

export const sorted = values => [...values].sort((a, b) => a - b);

export function median(values) {
    const all = sorted(values);
    const middle = all.length >> 1;
    return all.length % 2 ? all[middle] : (all[middle - 1] + all[middle]) / 2;
}

// A bound that the true median exceeds with a probability of at most 5 %, whatever the distribution: the order statistic
// X(k) with the smallest k for which P(Binomial(n, 1/2) < k) >= 0.95.  Fewer than 5 values give none.
export function medianUpperBound(values) {
    const all = sorted(values);
    let term = 0.5 ** all.length;
    let below = 0;
    for (let k = 0; k < all.length; k++) {
        below += term;
        term *= (all.length - k) / (k + 1);
        if (below >= 0.95)
            return all[k];
    }
    return Infinity;
}

// 0.0123, 1.23, 12.3, 1,234: three digits where they say something.
export function digits(value) {
    if (!Number.isFinite(value))
        return '-';
    const size = Math.abs(value);
    if (size >= 100)
        return Math.round(value).toLocaleString('en-US');
    return value.toFixed(size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

// The least and the most of the values.
export const spread = values => `${digits(sorted(values)[0])} … ${digits(sorted(values).at(-1))}`;

export const ratio = value => (Number.isFinite(value) ? `${digits(value)} ×` : '-');
