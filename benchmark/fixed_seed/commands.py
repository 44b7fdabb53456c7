"""The commands of benchmark/fixed_seed, on few images and with few steps.

Every model, attack, detector and export, and every flag that decides what is computed, is in one
of them. Their results have names of their own, so that none is written over.
"""

# First word of a command → the app, with the flags that all of its commands have.
VICTIM = "--data mnist_5k --runs runs --num_samples 2"
APPS = {
    "train": "train/vae.py --data mnist_5k --num_train 2000 --learning_rate 0.001 --seed 1",
    "substitute": f"attack/substitute.py {VICTIM} --victim",
    "index": f"attack/extract_index.py {VICTIM} --victim",
    "attack": f"attack/attack.py {VICTIM} --num_images 6 --batch_size 4 --eval_draws 2 "
    "--pool_size 200 --num_train 200 --seed 3 --victim",
    "evaluate": f"attack/evaluate.py {VICTIM} --budget quick --num_images 6 --batch_size 4 "
    "--check_images 4 --eval_draws 2 --victim",
    "detect": f"detect/detect.py {VICTIM} --num_clean 50 --victim",
    "export": f"train/export.py {VICTIM} --seed 4",
    "checkpoint": "train/export_checkpoint.py",
}
# Enough training for classes to differ, without which attacks have nothing to do.
LATENT = "--epochs 5 --dim_z 16 --out runs/mnist_5k"
FITTED = "runs/mnist_5k/GFZ/detection/thresholds_published_fpr5_K2_n300_seed0.json"
# Commands that need what those of the stage before have written.
STAGES = (
    f"""
train GFZ {LATENT}/GFZ --likelihood bernoulli
train GFY {LATENT}/GFY --likelihood bernoulli
train GBZ {LATENT}/GBZ --likelihood bernoulli
train GBY {LATENT}/GBY --likelihood bernoulli --beta 0.5
train DFZ {LATENT}/DFZ
train DFX {LATENT}/DFX
train DBX {LATENT}/DBX --num_samples 2
train MLP --epochs 3 --out runs/mnist_5k/MLP
train CNN --epochs 2 --out runs/mnist_5k/CNN
train BNN --epochs 3 --out runs/mnist_5k/BNN
train G {LATENT}/weighted --num_samples 3 --likelihood logit_laplace --num_train 200
train DFX {LATENT}/unusual --jit_compile --mixed_precision --num_train 200
train CNN --epochs 1 --num_train 200 --devices 2 --out runs/mnist_5k/devices
train DFX --epochs 1 --num_train 200 --dim_z 4 --out runs/mnist_5k/resumed
""",
    """
substitute GFZ --epochs 2 --num_train 300 --eval_every 1
substitute bayes_K3_D --kind jacobian --epochs 2 --num_seed_images 50 --augmentation_rounds 2
train DFX --epochs 3 --num_train 200 --dim_z 4 --out runs/mnist_5k/resumed --resume
index GFZ
index DFX --noise antithetic --seed 2
attack GFZ --attack fgsm --eps 0,0.1,0.3
attack GFZ --attack fgsm --mode mean --name mean
attack GFZ --attack fgsm --mode fixed --name fixed --loss dlr
attack GFZ --attack fgsm --mode zero --name zero --loss log_odds
attack GFZ --attack pgd --nb_iter 3 --noise shared --eot 2 --name shared
attack GFY --attack pgd --nb_iter 6 --lazy_classes 2 --loss log_odds
attack GFY --attack pgd --nb_iter 3 --noise qmc --common_random_numbers --name common
attack DFZ --attack pgd --nb_iter 6 --early_stop --check_every 1 --loss margin --eps 0.2
attack GBZ --attack pgd --nb_iter 3 --label_only --attack_samples 5 --block_size 20 --name label
attack GBY --attack pgd --nb_iter 4 --noise antithetic --lazy_classes 2 --block_size 20
attack DBX --attack pgd --nb_iter 3 --norm 2 --eps 2 --norand_init --eps_iter 0.5
attack MLP --attack pgd --nb_iter 3 --targeted --num_images 2
attack BNN --attack pgd --nb_iter 3 --eot 2
attack DFX --attack mim --nb_iter 6 --early_stop --check_every 2 --lazy_classes 2
attack CNN --attack mim --nb_iter 3 --norm 2 --eps 2
attack DFX --attack cw --eps 10 --nb_iter 5 --learning_rate 0.1 --lazy_classes 2
attack CNN --attack cw --eps 1 --nb_iter 5 --binary_search_steps 2 --confidence 1
attack GFZ --attack superwhite --nb_iter 2 --snapshot
attack GFZ --attack superwhite --nb_iter 2 --snapshot --detector logit --lbd 0.2
attack GFY --attack superwhite --nb_iter 2 --detector kl --gather published
attack GBY --attack superwhite --nb_iter 2 --detector marginal
attack DFX --attack superwhite --nb_iter 2 --detector tv --targeted --num_images 1
attack GBZ --attack matching --nb_iter 3
attack DFZ --attack feature_matching --nb_iter 3
attack GBZ --attack spsa --nb_iter 2 --spsa_samples 8 --delta 0.02 --learning_rate 0.05
attack GFZ --attack square --nb_iter 10
attack CNN --attack square --nb_iter 10 --norm 2 --eps 2 --p_init 0.3 --rescore 0
attack DFX --attack boundary --nb_iter 2 --initial_samples 6 --votes 2
attack MLP --attack boundary --nb_iter 2 --initial_samples 6 --votes 1 --norm 2 --eps 2
attack DFZ --attack noise --nb_iter 3 --corners --rescore 2
attack CNN --attack noise --nb_iter 3 --norm 2 --eps 2
attack DBX --attack fgsm --jit_compile --mixed_precision --name unusual
attack DFX --attack fgsm --devices 2 --name devices
attack runs/mnist_5k/weighted --attack fgsm --loss margin
""",
    """
evaluate CNN
export runs/mnist_5k/DFX --out exports/DFX --noise antithetic
export runs/mnist_5k/BNN --out exports/BNN
detect GFZ --num_train 300
detect GFZ --num_train 300 --guard CNN --threshold quantile --false_positive_rate 10
detect DFX --attack mim_early_stop_eps0.10 --indices runs/mnist_5k/DFX/indices.json --num_train 100
attack GFZ --attack pgd --nb_iter 3 --substitute runs/mnist_5k/GFZ/substitute_distilled
attack DFX --attack fgsm --indices runs/mnist_5k/GFZ/indices.json,runs/mnist_5k/DFX/indices.json
attack GFZ --attack fgsm --eps 0.3,0.4 --resume
checkpoint runs/mnist_5k/GBZ --out exports/checkpoint_0.pkl
""",
    f"""
evaluate GFZ --thresholds {FITTED} --substitute runs/mnist_5k/GFZ/substitute_distilled
export runs/mnist_5k/GFZ --out exports/GFZ --thresholds {FITTED}
detect GFZ --attack fgsm_eps0.30 --thresholds {FITTED}
attack GFZ --attack superwhite --nb_iter 2 --thresholds {FITTED} --detector kl
""",
)
