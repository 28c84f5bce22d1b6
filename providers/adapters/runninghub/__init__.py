"""The adapter for RunningHub (runninghub.cn and runninghub.ai)."""
