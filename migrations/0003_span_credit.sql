CREATE TABLE "engine"."span_credit" (
	"receipt_digest" text NOT NULL,
	"chunk_id" text NOT NULL,
	"credit_micro" numeric(78,0) NOT NULL,
	CONSTRAINT "span_credit_receipt_digest_chunk_id_pk" PRIMARY KEY("receipt_digest","chunk_id")
);
--> statement-breakpoint
CREATE INDEX "span_credit_chunk_id_index" ON "engine"."span_credit" USING btree ("chunk_id");