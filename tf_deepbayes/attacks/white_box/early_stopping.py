"""Images that are broken for good leave the batch of an iterated attack.

A success rate asks whether an image is misclassified, not how surely, and the steps after that cost
as much as those before. A classifier that samples misclassifies by luck, though, the more often the
more often it is asked: an image that left for one wrong draw would fail again in only some of the
draws that score it. One leaves when every one of several draws of fresh noise misclassifies it, by
a margin, and by more than these draws differ.
"""

from collections.abc import Callable
from typing import TypeAlias

import tensorflow as tf

from tf_deepbayes.attacks.losses import margin
from tf_deepbayes.core.axes import LogitsFn, Tensor

# Along PGD at eps 0.1 on a GFZ whose margins move by 0.8 nats from draw to draw, with looks every
# five steps, leaving after one wrong draw lost twelve points of success, after three five, and by
# this rule one. Where the noise is larger than a nat, the spread of the draws holds images back.
DRAWS, MARGIN = 3, 1.0

# What a step changes: tensors of an image per row, the first of which are the images.
State: TypeAlias = tuple[Tensor, ...]


def fooled(target_fn: LogitsFn, x: Tensor, y: Tensor, targeted: bool) -> Tensor:
    """The rows that are misclassified (targeted: reach their target) for good, `[M]`, in order.

    Their smallest margin is above a nat and above the difference of the largest and the smallest.
    Only rows that a draw misclassified are drawn again.

    Args:
        target_fn: the classifier to be fooled, `[N, …]` → `[N, C]`, with fresh noise at each call.
        x: images `[N, …]`.
        y: labels or targets `[N]`.
    """

    def draw(count: Tensor, rows: Tensor, low: Tensor, high: Tensor) -> tuple:
        lead = margin(tf.gather(y, rows), target_fn(tf.gather(x, rows)))
        lead = -lead if targeted else lead
        low, high = tf.minimum(low, lead), tf.maximum(high, lead)
        kept = (low > MARGIN) & (low > high - low)
        return count + 1, *(tf.boolean_mask(values, kept) for values in (rows, low, high))

    rows = tf.range(tf.shape(x)[0])
    extremes = [tf.fill(tf.shape(rows), limit) for limit in (tf.float32.max, tf.float32.min)]
    any_size = tf.TensorShape([None])
    _, rows, *_ = tf.while_loop(
        lambda count, rows, *_: (count < DRAWS) & (tf.size(rows) > 0),
        draw,
        (0, rows, *extremes),
        shape_invariants=(tf.TensorShape([]), any_size, any_size, any_size),
        parallel_iterations=1,
    )
    return rows


def until_fooled(
    advance: Callable[[Tensor, Tensor, Tensor, Tensor, State], State],
    is_fooled: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    state: State,
    nb_iter: Tensor,
    every: Tensor,
) -> tuple[Tensor, Tensor]:
    """The steps of one batch, which shrinks as images leave it; nothing is traced again.

    Args:
        advance: (first step, last step, x, y, state) → state after the steps in between.
        is_fooled: (images, y) → the rows that leave, `[M]`; asked after every so many steps.
        x: clean images `[B, …]`.
        y: labels or targets `[B]`.
        state: before the first step.

    Returns:
        The images as each left `[B, …]`, and the steps that each took `[B]`.
    """

    def part(i: Tensor, rows: Tensor, state: State, images: Tensor, taken: Tensor) -> tuple:
        stop, own_y = tf.minimum(i + every, nb_iter), tf.gather(y, rows)
        state = advance(i, stop, tf.gather(x, rows), own_y, state)
        images = tf.tensor_scatter_nd_update(images, rows[:, None], state[0])
        taken = tf.tensor_scatter_nd_update(taken, rows[:, None], tf.fill(tf.shape(rows), stop))
        leave = tf.cond(stop < nb_iter, lambda: is_fooled(state[0], own_y), lambda: rows[:0])
        stay = _without(tf.shape(rows)[0], leave)
        return stop, tf.gather(rows, stay), tuple(tf.gather(s, stay) for s in state), images, taken

    rows = tf.range(tf.shape(x)[0])
    fewer = [tf.TensorShape([None, *values.shape[1:]]) for values in (rows, *state)]
    whole = x.shape, x.shape[:1]
    _, _, _, images, taken = tf.while_loop(
        lambda i, rows, *_: (i < nb_iter) & (tf.size(rows) > 0),
        part,
        (0, rows, state, state[0], tf.zeros_like(rows)),
        shape_invariants=(tf.TensorShape([]), fewer[0], tuple(fewer[1:]), *whole),
        parallel_iterations=1,
    )
    return images, taken


def _without(count: Tensor, rows: Tensor) -> Tensor:
    """0 … count − 1 without these rows."""
    leaves = tf.scatter_nd(rows[:, None], tf.ones_like(rows), [count])
    return tf.where(leaves == 0)[:, 0]
