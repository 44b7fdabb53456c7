"""The Carlini-Wagner attack on a small convnet; its eps is c, not the size of a ball."""

import numpy as np
import pytest

from tests.small import convnet, images, labels_of
from tf_deepbayes.attacks import FGSM, CarliniWagnerL2
from tf_deepbayes.core import metrics

NET = convnet()
X = images(20, shape=(8, 8, 1))
Y = labels_of(NET, X)


class TestCarliniWagner:
    attack = CarliniWagnerL2(nb_iter=60, learning_rate=0.05)

    def test_it_succeeds_with_a_small_change_and_more_often_for_a_larger_c(self) -> None:
        rates = []
        for c in (1e-4, 0.1, 10.0):
            adversarial = self.attack(NET, X, Y, c)
            assert adversarial.min() >= 0 and adversarial.max() <= 1
            rates.append(np.mean(labels_of(NET, adversarial) != Y))
        assert rates[0] <= rates[1] <= rates[2] and rates[2] == 1.0
        closest = metrics.perturbation_norms(X, self.attack(NET, X, Y, 1.0))["l2"]
        signs = metrics.perturbation_norms(X, FGSM()(NET, X, Y, 0.3))["l2"]
        assert closest.mean() < signs.mean() / 2

    def test_an_image_that_is_not_broken_comes_back_as_it_was(self) -> None:
        """The first step's image is x, which is not misclassified, and there is no second."""
        unbroken = CarliniWagnerL2(nb_iter=1)(NET, X, Y, 10.0)
        np.testing.assert_array_equal(unbroken, X)

    def test_searching_for_c_breaks_all_with_less(self) -> None:
        searched = CarliniWagnerL2(nb_iter=60, learning_rate=0.05, binary_search_steps=6)
        adversarial = searched(NET, X, Y, 1e-3)
        assert np.mean(labels_of(NET, adversarial) != Y) == 1.0
        once = metrics.perturbation_norms(X, self.attack(NET, X, Y, 10.0))["l2"]
        assert metrics.perturbation_norms(X, adversarial)["l2"].mean() < once.mean()

    def test_targeted_and_confident(self) -> None:
        target = (Y + 1) % 5
        attack = CarliniWagnerL2(nb_iter=100, learning_rate=0.05, targeted=True, confidence=0.2)
        adversarial = attack(NET, X, target, 10.0)
        logits = NET(adversarial).numpy()
        own = logits[np.arange(20), target]
        others = np.where(np.eye(5)[target] == 1, -np.inf, logits).max(1)
        assert np.mean(own - others > 0.15) > 0.8

    def test_an_image_does_not_depend_on_its_batch_mates(self) -> None:
        together = self.attack(NET, X, Y, 1.0)
        np.testing.assert_allclose(self.attack(NET, X[:1], Y[:1], 1.0), together[:1], atol=1e-3)

    def test_the_rates_of_the_paper_are_those_of_an_attack_with_that_rate(self) -> None:
        by_c = CarliniWagnerL2(nb_iter=5, learning_rate="by_c")
        rates = {0.1: 0.01, 1.0: 0.01, 10.0: 0.01, 100.0: 0.03, 1000.0: 0.1}
        for c, rate in rates.items():
            plain = CarliniWagnerL2(nb_iter=5, learning_rate=rate)
            assert by_c.settings_at(c) == plain.settings_at(c) == plain.settings()
            assert by_c.eps_name(c) == plain.eps_name(c)
            np.testing.assert_array_equal(by_c(NET, X, Y, c), plain(NET, X, Y, c))
        assert by_c.eps_name(100.0) == "c100.00_lr0.030"

    def test_bad_settings_are_refused(self) -> None:
        with pytest.raises(ValueError, match="learning_rate must be a finite number above 0"):
            CarliniWagnerL2(learning_rate="by_d")
        with pytest.raises(ValueError, match="learning_rate"):
            CarliniWagnerL2(learning_rate=-1.0)
        with pytest.raises(ValueError, match="nb_iter"):
            CarliniWagnerL2(nb_iter=0)
