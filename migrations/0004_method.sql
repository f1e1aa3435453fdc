ALTER TABLE "engine"."adapter" ADD COLUMN "method_hash" text;--> statement-breakpoint
ALTER TABLE "engine"."faithfulness" ADD COLUMN "method_hash" text;--> statement-breakpoint
ALTER TABLE "engine"."refusal" ADD COLUMN "method_hash" text;