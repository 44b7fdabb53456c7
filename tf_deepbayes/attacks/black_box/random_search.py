"""Random search: propose an image, keep it if its loss is larger."""

from collections.abc import Callable

import tensorflow as tf

from tf_deepbayes.core.axes import LogitsFn, Tensor


def scores(logits_fn: LogitsFn, loss_fn: Callable, targeted: bool, y: Tensor) -> Callable:
    """image `[B, …]` → the score a search maximises, `[B]`: the loss, or minus it if targeted."""
    sign = -1.0 if targeted else 1.0
    return lambda image: sign * tf.ensure_shape(loss_fn(y, logits_fn(image)), y.shape)


def random_search(
    score: Callable[[Tensor], Tensor],
    propose: Callable[[Tensor, Tensor], Tensor],
    first: Tensor,
    nb_iter: Tensor,
    rescore: Tensor,
) -> Tensor:
    """The best image after `nb_iter` proposals, including `first`.

    A classifier that samples scores an image differently in each call, and of many proposals one
    is lucky. A proposal that seems better is therefore scored again, `rescore` times (0: never),
    and the mean of these new draws has to be larger and is the score remembered.

    Rescoring the best image before each comparison instead is worse than remembering luck: in a
    fair comparison of two single draws, an image hardly better than its rival loses half the time,
    and the search drifts. Measured at equal draws of the classifier, on a linear score with noise
    of a tenth to three times what the ball allows.

    Args:
        propose: number of the query, best images → proposals.
    """

    def mean_score(image: Tensor) -> Tensor:
        def add(i: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
            return i + 1, total + score(image)

        zero = tf.zeros(image.shape[:1])
        total = tf.while_loop(lambda i, _: i < rescore, add, (0, zero), parallel_iterations=1)[1]
        return total / tf.cast(rescore, tf.float32)

    def query(i: Tensor, best: Tensor, best_score: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        proposal = propose(i, best)
        new_score = score(proposal)
        better = new_score > best_score
        doubtful = (rescore > 0) & tf.reduce_any(better)
        new_score = tf.cond(doubtful, lambda: mean_score(proposal), lambda: new_score)
        better &= new_score > best_score
        best = tf.where(better[:, None, None, None], proposal, best)
        return i + 1, best, tf.where(better, new_score, best_score)

    _, best, _ = tf.while_loop(
        lambda i, *_: i < nb_iter, query, (1, first, score(first)), parallel_iterations=1
    )
    return best
