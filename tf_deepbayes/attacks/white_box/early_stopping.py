"""Reliably misclassified images leave the batch of an iterative attack.

A success rate asks whether an image is misclassified, not how confidently, and further steps cost
as much as the first ones. But a classifier that samples sometimes misclassifies by chance, and more
checks find more such draws: an image removed after one wrong draw would be misclassified in only
some of the draws that score it. An image leaves when several draws of fresh noise all misclassify
it, by a margin, and by more than these draws differ.
"""

from collections.abc import Callable
from typing import TypeAlias

import tensorflow as tf

from tf_deepbayes.attacks.losses import margin
from tf_deepbayes.core.axes import LogitsFn, Tensor

# With PGD at eps 0.1 on a GFZ whose margins vary by 0.8 nats between draws, checked every five
# steps, leaving after one wrong draw lost twelve points of success, after three draws five, and
# with this rule one. Where the noise exceeds a nat, the spread of the draws keeps images in.
DRAWS, MARGIN = 3, 1.0

# What a step changes: tensors with one row per image; the first holds the images.
State: TypeAlias = tuple[Tensor, ...]


def fooled(target_fn: LogitsFn, x: Tensor, y: Tensor, targeted: bool) -> Tensor:
    """The rows reliably misclassified (targeted: at their target), `[M]`, in order.

    Their smallest margin exceeds one nat and the difference of the largest and the smallest.
    Only rows that a draw misclassified are drawn again.

    Args:
        target_fn: the classifier to be fooled, `[N, …]` → `[N, C]`, with fresh noise in each call.
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
    """The steps of one batch, which shrinks as images leave; nothing is traced again.

    Args:
        advance: (first step, last step, x, y, state) → state after the steps in between.
        is_fooled: (images, y) → the rows that leave, `[M]`; called after every `every` steps.
        x: clean images `[B, …]`.
        y: labels or targets `[B]`.
        state: the state before the first step.

    Returns:
        The images as they left `[B, …]`, and the steps that each took `[B]`.
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
