"""Never lose a row, never keep one twice: models, kills, and pages that move."""
