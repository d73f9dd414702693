"""Features, training, evaluation, scoring and tracking of the value and churn models.

The public surface is `models_ml.ltv`, `models_ml.churn` and `models_ml.cdnow_benchmark`. This is the only package that
imports MLflow and LightGBM, and it does so inside functions: importing it costs nothing.
"""
