"""Credit for conversions that several channels touched: Markov removal effects and Shapley values over whole journeys.

The public surface is `models_ml.multi_touch.channel_effects`. `markov` and `shapley` know nothing of tables, `journeys`
says what they look at. Needs numpy alone. Models that look at one path at a time are SQL (`multi_touch_credit`).
"""
