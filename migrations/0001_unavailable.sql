CREATE TABLE "settlement"."unavailable" (
	"epoch_id" bigint NOT NULL,
	"subject" text NOT NULL,
	"code" text NOT NULL,
	CONSTRAINT "unavailable_epoch_id_subject_pk" PRIMARY KEY("epoch_id","subject")
);
--> statement-breakpoint
CREATE INDEX "unavailable_subject_index" ON "settlement"."unavailable" USING btree ("subject");