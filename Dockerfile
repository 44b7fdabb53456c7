# The library, its apps, its tests and Fashion-MNIST: a whole study without a network.
#   docker build -t tf_deepbayes .
#   docker build -t tf_deepbayes:cuda --build-arg TENSORFLOW=cuda .
ARG PYTHON_IMAGE=python:3.11-slim
FROM ${PYTHON_IMAGE}

LABEL org.opencontainers.image.title="tf_deepbayes" \
      org.opencontainers.image.licenses="MIT"

# The same files in every Debian that has the package: Fashion-MNIST does not change.
RUN apt-get update \
 && apt-get install -y --no-install-recommends "dataset-fashion-mnist=0.0~git20200523.55506a9-*" \
 && rm -rf /var/lib/apt/lists/*

# cpu, or cuda: CUDA comes from the package index too, the driver from the host.
ARG TENSORFLOW=cpu
# A mirror of the package index, without credentials: build arguments stay in the image's history.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

# Dependencies of a package that is still empty: this layer outlives changes of the code.
# tf-keras asks for the distribution `tensorflow`, which carries the CUDA kernels; it works as well
# with tensorflow-cpu, which does not.
WORKDIR /tmp/dependencies
COPY pyproject.toml setup.cfg ./
RUN case "$TENSORFLOW" in cpu|cuda) ;; *) echo "TENSORFLOW must be cpu or cuda" >&2; exit 2 ;; esac \
 && grep -o "tf-keras==.*" setup.cfg > tf-keras.txt \
 && if [ "$TENSORFLOW" = cpu ]; then \
      sed -i -e "/tf-keras==/d" -e "s/tensorflow==/tensorflow-cpu==/" setup.cfg; \
    fi \
 && pip install "./[$TENSORFLOW,demo,test]" \
 && pip install --no-deps --requirement tf-keras.txt

WORKDIR /study
COPY . .
RUN pip install --no-deps --no-build-isolation --editable . \
 && python -m compileall -q . \
 && useradd --create-home --uid 1000 bayes \
 && mkdir runs /data \
 && chown bayes:bayes . runs /data

# Keras keeps downloads in KERAS_HOME; GPUs need the driver's libraries and nvidia-smi; with --user
# the working folder belongs to somebody else and holds no cache of pytest.
ENV KERAS_HOME=/data \
    MPLCONFIGDIR=/tmp/matplotlib \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    PYTEST_ADDOPTS="-p no:cacheprovider" \
    PYTHONUNBUFFERED=1
USER 1000:1000
VOLUME ["/study/runs", "/data"]

# No STOPSIGNAL: apps handle SIGTERM, Docker's default, also as the first process of the container.
ENTRYPOINT ["python"]
CMD ["-m", "tf_deepbayes.core.devices"]
