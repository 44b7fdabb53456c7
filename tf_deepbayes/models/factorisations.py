"""The seven factorisations of p(x, z, y) (Li et al. 2019, section 3)."""

from tf_deepbayes.core.axes import Distribution, Tensor, Terms
from tf_deepbayes.core.errors import InputError
from tf_deepbayes.inference.latent_model import Observed
from tf_deepbayes.models.classifier import LatentClassifier
from tf_deepbayes.models.layers.conditionals import ConditionalFactory


class GFZ(LatentClassifier):
    """p(x, z, y) = p(z) p(y|z) p(x|z,y)."""

    beta_factors = ("p(x|z,y)",)

    def build_factors(self, make: ConditionalFactory) -> None:
        self.p_y_z = make.p_y_z()
        self.p_x_zy = make.p_x_zy()

    def log_joint(self, x: Observed, y: Tensor, z: Tensor) -> Terms:
        return {
            "p(z)": self.p_z.log_prob(z),
            "p(y|z)": self.p_y_z(z).log_prob(y),
            "p(x|z,y)": self.p_x_zy(z, y).log_prob(x.pixels),
        }


class GFY(LatentClassifier):
    """p(x, z, y) = p(y) p(z|y) p(x|z,y)."""

    beta_factors = ("p(x|z,y)",)

    def build_factors(self, make: ConditionalFactory) -> None:
        self.p_z_y = make.p_z_y()
        self.p_x_zy = make.p_x_zy()

    def log_joint(self, x: Observed, y: Tensor, z: Tensor) -> Terms:
        return {
            "p(y)": self.log_p_y(y),
            "p(z|y)": self.p_z_y(y).log_prob(z),
            "p(x|z,y)": self.p_x_zy(z, y).log_prob(x.pixels),
        }

    def latent_prior(self, y: Tensor) -> Distribution:
        return self.p_z_y(y)


class DFZ(LatentClassifier):
    """p(x, z, y) = p(z) p(x|z) p(y|z,x)."""

    beta_factors = ("p(x|z)",)

    def build_factors(self, make: ConditionalFactory) -> None:
        self.p_x_z = make.p_x_z()
        self.p_y_zx = make.p_y_zx()

    def log_joint(self, x: Observed, y: Tensor, z: Tensor) -> Terms:
        return {
            "p(z)": self.p_z.log_prob(z),
            "p(x|z)": self.p_x_z(z).log_prob(x.pixels),
            "p(y|z,x)": self.p_y_zx(z, x).log_prob(y),
        }


class DFX(LatentClassifier):
    """p(x, z, y) = p(x) p(z|x) p(y|z,x)."""

    beta_factors = ("p(z|x)", "q(z|x,y)")

    def build_factors(self, make: ConditionalFactory) -> None:
        self.p_z_x = make.p_z_x()
        self.p_y_zx = make.p_y_zx()

    def log_joint(self, x: Observed, y: Tensor, z: Tensor) -> Terms:
        return {
            "p(x)": self.log_p_x(x),
            "p(z|x)": self.p_z_x(x).log_prob(z),
            "p(y|z,x)": self.p_y_zx(z, x).log_prob(y),
        }


class DBX(LatentClassifier):
    """p(x, z, y) = p(x) p(z|x) p(y|z)."""

    beta_factors = ("q(z|x,y)",)

    def build_factors(self, make: ConditionalFactory) -> None:
        self.p_z_x = make.p_z_x()
        self.p_y_z = make.p_y_z()

    def log_joint(self, x: Observed, y: Tensor, z: Tensor) -> Terms:
        return {
            "p(x)": self.log_p_x(x),
            "p(z|x)": self.p_z_x(x).log_prob(z),
            "p(y|z)": self.p_y_z(z).log_prob(y),
        }


class GBZ(LatentClassifier):
    """p(x, z, y) = p(z) p(y|z) p(x|z)."""

    beta_factors = ("p(x|z)",)

    def build_factors(self, make: ConditionalFactory) -> None:
        self.p_y_z = make.p_y_z(self.architecture.form.bottleneck_label_layers)
        self.p_x_z = make.p_x_z()

    def log_joint(self, x: Observed, y: Tensor, z: Tensor) -> Terms:
        return {
            "p(z)": self.p_z.log_prob(z),
            "p(y|z)": self.p_y_z(z).log_prob(y),
            "p(x|z)": self.p_x_z(z).log_prob(x.pixels),
        }


class GBY(LatentClassifier):
    """p(x, z, y) = p(y) p(z|y) p(x|z)."""

    beta_factors = ("p(x|z)",)

    def build_factors(self, make: ConditionalFactory) -> None:
        self.p_z_y = make.p_z_y()
        self.p_x_z = make.p_x_z()

    def log_joint(self, x: Observed, y: Tensor, z: Tensor) -> Terms:
        return {
            "p(y)": self.log_p_y(y),
            "p(z|y)": self.p_z_y(y).log_prob(z),
            "p(x|z)": self.p_x_z(z).log_prob(x.pixels),
        }

    def latent_prior(self, y: Tensor) -> Distribution:
        return self.p_z_y(y)


FACTORISATIONS: dict[str, type[LatentClassifier]] = {
    cls.__name__: cls for cls in (GFZ, GFY, DFZ, DFX, DBX, GBZ, GBY)
}


def get(name: str) -> type[LatentClassifier]:
    """The class of that name; ValueError when there is none."""
    if name not in FACTORISATIONS:
        raise InputError(f"unknown model {name!r}; choose one of {', '.join(FACTORISATIONS)}")
    return FACTORISATIONS[name]
