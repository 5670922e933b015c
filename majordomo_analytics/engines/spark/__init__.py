"""Spark Connect: the plan's SQL, run by Spark, Databricks or Sail; the one home of pyspark."""
