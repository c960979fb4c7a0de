"""Results as trials write them."""

COST = {"train_seconds": 2.5, "images_per_second": 100.0, "test_ms_per_image": 0.5, "seconds": 3.5, "device": "cpu"}


def label_result(**changes):
    """Returns a result that holds, of a trial with labels."""
    scores = {"top1": 12.5, "top5": 50.0, "ece": 3.25, "epochs": 3}
    return {**scores, **COST, "threads": [1], **changes}


def caption_result(**changes):
    """Returns a result that holds, of a trial with captions."""
    scores = {"bleu1": 0.5, "bleu2": 0.4, "bleu3": 0.3, "bleu4": 0.2, "meteor": None, "rouge_l": 0.5, "cider": 1.5}
    return {**scores, "perplexity": 2.5, "epochs": 3, **COST, "threads": [1], **changes}
