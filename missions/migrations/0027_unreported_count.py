from django.db import migrations, models

FIELDS = {
    "hourlyspend": models.PositiveIntegerField(
        db_column="untold_count", help_text="Successes whose cost the provider has not reported."
    ),
    "removedspending": models.PositiveIntegerField(
        db_column="untold_count", db_default=0, help_text="Successes whose cost the provider has not reported."
    ),
}


class Migration(migrations.Migration):
    """Rename the field; the column keeps its name, which the previous release uses."""

    dependencies = [("missions", "0026_output_uses")]
    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                operation
                for model, field in FIELDS.items()
                for operation in (
                    migrations.RenameField(model, "untold_count", "unreported_count"),
                    migrations.AlterField(model, "unreported_count", field),
                )
            ]
        )
    ]
