"""What the notebooks need and a library user does not: data, models, training, figures."""
