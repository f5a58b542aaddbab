"""CondInst (Tian et al. 2020) on masks, and BoxInst (Tian et al. 2021), which learns from boxes."""
