"""What all tests share."""

import gc


def pytest_collection_finish(session):
    """Takes what the imports made out of the collector's sight: the engines collect after each network, and going
    through the objects of torch again and again takes longer than their tests.
    """
    gc.collect()
    gc.freeze()
