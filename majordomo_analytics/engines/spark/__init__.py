"""Spark Connect: the plan's SQL run by Spark, Databricks or Sail; the home of pyspark."""
