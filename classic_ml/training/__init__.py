"""From a training set to a candidate: `classic_ml.training.train`.

Nothing is re-exported here: the registry's gate scores with the same modules, without loading Ray and MLflow.
"""
