"""Expressions that many panels have in common. `$here` stands for the series that the dashboard is about."""


def rate(counter, by="", where=""):
    grouped = f"sum by ({by})" if by else "sum"
    return f"{grouped} (rate({counter}{{{labels(where)}}}[$__rate_interval]))"


def quantile(share, histogram, by=""):
    grouping = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({grouping}) (rate({histogram}_bucket{{$here}}[$__rate_interval])))"


def labels(where=""):
    return f"$here, {where}" if where else "$here"
