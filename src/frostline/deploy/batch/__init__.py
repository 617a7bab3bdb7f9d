"""Prediction of many pictures on many machines, by Ray Data."""
