"""Views: what a person looks at: status, doctor, report, topics. May import any package."""
