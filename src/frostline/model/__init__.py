"""What is trained: backbones and their weights, the frost line, the head, and the classifiers that they make."""
