"""The words that all stages share: values that are valid once they exist, and know no stage."""
