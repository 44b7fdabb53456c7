"""What the name of a result says of the access and the images."""

from tf_deepbayes.runs.attacking.options import AttackOptions


def test_only_what_is_not_the_default_is_named() -> None:
    assert AttackOptions().parts() == []
    given = AttackOptions(num_images=5, image_order="random", attack_samples=3, merge=True)
    assert given.parts() == ["attack_samples3", "random", "n5"]
    other = AttackOptions(substitute="runs/mnist/CNN", label_only=True)
    assert other.parts() == ["label_only", "substitute_CNN"]
