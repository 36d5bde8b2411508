"""What is rendered is what an API server stores."""
