from cluster.draft import Draft


def check_disk(d: Draft) -> None: ...
