from cluster.draft import Draft


def check(d: Draft) -> dict[str, str]:
    return {}
